"""What sources mean, and that nothing tells their credentials."""

from pathlib import Path
from urllib.parse import quote

import av
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from models import settings as settings_files
from pipeline import config as configuration
from pipeline.address import Address
from pipeline.config import CameraConfig, SourcesConfig
from pipeline.errors import ConfigError, SourceError
from pipeline.sources import open_source
from pipeline.sources.source import camera_of
from tests.videos import write_video


@pytest.mark.parametrize(
    ("source", "kind", "is_live"),
    [
        ("rtsp://10.0.0.7:554/main", "stream", True),
        ("RTSPS://u:p@cam/main", "stream", True),
        ("http://cam/video.mjpg?live", "stream", True),
        ("/dev/video0", "device", True),
        ("0", "device", True),
        ("a.mp4", "file", False),
        ("a.mp4?live", "file", True),
        ("a.mp4?live=1", "file", False),
        ("folder/rtsp://x.mp4", "file", False),
        ("./a:/" + "/b@c.mp4", "file", False),
        (r"C:\videos\a.mp4", "file", False),
        ("C://videos/a.mp4", "file", False),
        ("", "folder", False),
        ("a\0b", "file", False),
    ],
)
def test_a_source_is_a_file_a_stream_or_a_device(source: str, kind: str, is_live: bool) -> None:
    address = Address.parse(source)
    assert address.kind == kind
    assert address.is_live == is_live


def test_a_folder_is_one_also_where_its_name_is_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("7").mkdir()
    assert Address.parse("7").kind == "folder"
    assert Address.parse(str(tmp_path)).kind == "folder"
    assert Address.parse(f"{tmp_path}?live").path == str(tmp_path)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("rtsp://10.0.0.7:554/main", "rtsp://10.0.0.7:554/main"),
        ("rtsp://u:p@10.0.0.7:554/main", "rtsp://***:***@10.0.0.7:554/main"),
        ("rtsp://user@cam/main", "rtsp://***@cam/main"),
        ("rtsp://:p@cam/main", "rtsp://:***@cam/main"),
        ("rtsp://user:pa@ss@host/x", "rtsp://***:***@host/x"),
        ("rtsp://user:pa/s?s#@host/x", "rtsp://***:***@host/x"),
        ("rtsp://user:p%40ss@[fe80::1]:554/x", "rtsp://***:***@[fe80::1]:554/x"),
        ("rtsp://${USER}:${PASS}@cam/x", "rtsp://${USER}:${PASS}@cam/x"),
        ("rtsp://${USER}:secret@cam/x", "rtsp://${USER}:***@cam/x"),
        ("rtsp://x${USER}:${PASS}1@cam/x", "rtsp://***:***@cam/x"),
        ("http://cam/v?ch=1&token=ab/c=&x=2", "http://cam/v?ch=1&token=***&x=2"),
        (
            "http://cam/v?Password=a&PWD=b&api_key=c",
            "http://cam/v?Password=***&PWD=***&api_key=***",
        ),
        ("http://cam/v?token=${TOKEN}", "http://cam/v?token=${TOKEN}"),
        (
            "rtsp://cam/user=admin&password=x&ch=1.sdp?",
            "rtsp://cam/user=***&password=***&ch=1.sdp?",
        ),
        ("rtsp://cam/user=admin_password=x_ch=1.sdp", "rtsp://cam/user=***"),
        ("a b/c@d.mp4", "a b/c@d.mp4"),
        ("a.mp4?live", "a.mp4?live"),
        ("/dev/video0", "/dev/video0"),
        ("user:secret@10.0.0.7/main", "***@10.0.0.7/main"),
        ("rtsp:/user:secret@10.0.0.7/main", "***@10.0.0.7/main"),
        ("rtsp/" + "/user:secret@10.0.0.7/main", "***@10.0.0.7/main"),
    ],
)
def test_what_is_shown_has_no_credentials(source: str, shown: str) -> None:
    assert Address.parse(source).shown == shown
    assert Address.parse(shown).shown == shown


@pytest.mark.parametrize("name", ["10:30@gate.mp4", "videos//gate@1.mp4"])
def test_a_file_is_shown_whatever_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("videos").mkdir()
    Path(name).touch()
    assert Address.parse(name).shown == name
    (camera,) = configuration.unique_names([CameraConfig(source=name)])
    assert camera.name == configuration.file_name(Path(name).stem)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("rtsp://u:p@10.0.0.7:554/main", "10.0.0.7_main"),
        ("rtsp://u:pa@ss@cam.local/a/b/", "cam.local_a_b"),
        ("rtsp://u:p@[fe80::1]:554/x", "fe80_1_x"),
        ("rtsp://u:p@10.0.0.7:8554/main", "10.0.0.7_8554_main"),
        ("rtsp://[fe80::1]", "fe80_1"),
        ("HTTP://cam:80/x", "cam_x"),
        ("rtsp://cam/real?channel=2&subtype=0&token=77", "cam_real_2_0"),
        ("rtsp://cam/user=admin&password=x&ch=1", "cam"),
        ("rtsp://${USER}:${PASS}@${HOST}/main", "HOST_main"),
        ("http://cam/" + "x" * 500, "cam_" + "x" * 56),
        ("rtsp://", "camera"),
        ("/dev/video0", "video0"),
        ("2", "video2"),
        ("videos/my cam.mp4?live", "my_cam"),
        ("user:secret@10.0.0.7/main", "main"),
    ],
)
def test_a_camera_is_named_by_host_and_path(source: str, name: str) -> None:
    (camera,) = configuration.unique_names([CameraConfig(source=source)])
    assert camera.name == name


@pytest.mark.parametrize(
    ("source", "opened"),
    [
        ("rtsp://${U}:${P}@cam/main", "rtsp://me:a%40b%2Fc%25@cam/main"),
        ("rtsp://${LOGIN}@cam/main", "rtsp://me:x@cam/main"),
        ("rtsp://u:p@ss@cam/main", "rtsp://u:p@ss@cam/main"),
        ("rtsp://u:p%40ss@cam/main", "rtsp://u:p%40ss@cam/main"),
        ("http://${HOST}/v?token=${P}&x=$U", "http://10.0.0.7:80/v?token=a%40b%2Fc%25&x=$U"),
        ("${U}.mp4?live", "${U}.mp4"),
        ("a.mp4", "a.mp4"),
        ("/dev/video1", "/dev/video1"),
    ],
)
def test_names_of_the_environment_become_their_values(source: str, opened: str) -> None:
    environ = {"U": "me", "P": "a@b/c%", "LOGIN": "me:x", "HOST": "10.0.0.7:80"}
    assert Address.parse(source).resolve(environ) == opened


def test_a_name_that_the_environment_lacks_is_told() -> None:
    address = Address.parse("rtsp://${CAM_USER}:secret@cam/main")
    with pytest.raises(SourceError, match="has no variable CAM_USER; set it") as caught:
        address.resolve({})
    assert "secret" not in str(caught.value)


def test_an_address_that_was_stored_without_credentials_says_so() -> None:
    stored = Address.parse("rtsp://u:p@cam/main").shown
    with pytest.raises(SourceError, match="credentials are not stored with results"):
        Address.parse(stored).resolve({})


PARTS = st.text(min_size=1, max_size=12).filter(lambda text: not text.startswith("${"))
FORMS = (
    "rtsp://{user}:{password}@10.0.0.7:554/main",
    "rtsp://{user}:{password}@[2001:db8::1]/main",
    "http://10.0.0.7/main?user={user}&password={password}&channel=1",
    "rtsp://10.0.0.7/user={user}&password={password}&channel=1.sdp",
)


@settings(max_examples=400)
@given(st.sampled_from(FORMS), PARTS, PARTS, st.booleans())
@example(FORMS[0], "admin", "pa@s/s?w#o rd", False)
@example(FORMS[0], "admin", "://x@", False)
@example(FORMS[2], "admin", "a/b?c=d", False)
def test_no_user_and_no_password_is_ever_told(
    form: str, user: str, password: str, is_encoded: bool
) -> None:
    if "?" in form or "&" in form:
        assume(is_encoded or not set(user + password) & set("&@"))  # they would end the value
    assume(is_encoded or ":" not in user)
    given_user = quote(user, safe="") if is_encoded else user
    given_password = quote(password, safe="") if is_encoded else password
    source = form.format(user=given_user, password=given_password)
    harmless = form.format(user="***", password="***")
    address = Address.parse(source)
    (camera,) = configuration.unique_names([CameraConfig(source=source)])

    assert address.shown == harmless
    expected = configuration.unique_names([CameraConfig(source=harmless)])
    assert [camera.name] == [each.name for each in expected]
    assert _error_of(source) == _error_of(harmless)
    with pytest.raises(SourceError, match="no variable NOWHERE") as missing:
        Address.parse(f"{source}&x=${{NOWHERE}}").resolve({})
    assert str(missing.value).startswith(f"{harmless}&x=${{NOWHERE}}: ")
    for secret in (user, password, given_user, given_password):
        if secret not in f"{harmless}: Invalid data":
            text = f"{source}: Invalid data {secret} {address.resolve({})}"
            assert secret not in address.clean(text, {})


def _error_of(source: str) -> str:
    """What opening a camera says that is no file."""
    with pytest.raises(SourceError) as caught:
        open_source(CameraConfig(source=source, name="gate"), SourcesConfig())
    return str(caught.value)


@pytest.mark.parametrize("login", ["me:se cret@1", "me:${PASS}", "${LOGIN}"])
def test_an_error_of_ffmpeg_is_told_without_credentials(login: str) -> None:
    environ = {"PASS": "a@secret/1", "LOGIN": "me:secret"}
    address = Address.parse(f"rtsp://{login}@127.0.0.1:1/main?token=secret")
    with pytest.raises(av.error.ConnectionRefusedError) as caught:
        av.open(address.resolve(environ), timeout=60)
    assert "secret" in str(caught.value) or "se cret" in str(caught.value)
    told = address.clean(str(caught.value), environ)
    assert told == f"[Errno 111] Connection refused: '{address.shown}'"


def test_a_text_of_another_address_is_told_without_credentials() -> None:
    address = Address.parse("rtsp://me:secret@cam/main")
    told = address.clean("tcp://you:other@10.0.0.7:554?x=1&auth=more failed for me with secret", {})
    assert told == "tcp://***@10.0.0.7:554?x=1&auth=*** failed for *** with ***"


@pytest.mark.parametrize(
    "site",
    [
        "cameras: [{source: 'rtsp://me:se cret@cam/x', homography: [[1]]}]",
        "cameras: [{source: 'rtsp://me:se cretsecretsecretsecretsecretsecretsecretsecretsecretse"
        "cretsecret@cam/x', roi: [[1, 2]]}]",
        "cameras: [{source: ['rtsp://me:secret@cam/x']}]",
        "cameras: [{source: 'http://cam/x?token=secret', track: -1}]",
        "cameras: 'rtsp://me:secret@cam/x'",
        "cameras: rtsp://me:secret: secret@cam/x",
        "rtsp://me:secret@cam/x: 1",
        "events: {webhook: ['https://me:secret@site/x']}",
    ],
)
def test_a_mistake_in_the_settings_is_told_without_credentials(site: str, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(site)
    with pytest.raises(ConfigError) as caught:
        configuration.load(str(tmp_path / "site.yaml"))
    assert "cret" not in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/site.yaml: ")


def test_settings_are_stored_without_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    video = write_video(tmp_path / "a.mp4")
    config = configuration.build(
        {
            "cameras": [
                {"source": source}
                for source in ("rtsp://me:secret@cam/x", "rtsp://${U}:${P}@cam/x", "a.mp4?live")
            ],
            "events": {"webhook": "https://hooks/secret/1", "mqtt": "mqtt://me:secret@site/topic"},
            "serve": {"token": "secret"},
        },
        "site.yaml",
    )
    stored = configuration.stored(config)
    sources = [camera.source for camera in stored.cameras]
    assert sources == ["rtsp://***:***@cam/x", "rtsp://${U}:${P}@cam/x", f"{video}?live"]
    assert "secret" not in settings_files.dump(stored)
    assert "secret" not in repr(config)
    assert "secret" not in repr([Address.parse(camera.source) for camera in config.cameras])
    assert stored.events.webhook == "https://hooks/***"
    assert stored.events.mqtt == "mqtt://***:***@site/topic"
    with pytest.raises(SourceError, match="credentials are not stored"):
        Address.parse(stored.events.webhook).resolve({})


def test_a_secret_that_the_environment_holds_is_stored_by_its_name() -> None:
    given = {
        "events": {"webhook": "https://hooks/${HOOK}", "mqtt": "mqtt://${U}:${P}@site"},
        "serve": {"token": "${TOKEN}"},
    }
    config = configuration.build(given, "site.yaml")
    assert configuration.stored(config) == config


def test_results_name_a_camera_without_credentials() -> None:
    config = CameraConfig(source="rtsp://me:secret@cam/x?token=secret", name="gate")
    camera = camera_of(config, 64, 48, 25.0, 0)
    assert camera.source == "rtsp://***:***@cam/x?token=***"
