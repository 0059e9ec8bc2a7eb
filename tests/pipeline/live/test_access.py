"""Who may see the page."""

import pytest

from pipeline.config import ServeConfig
from pipeline.errors import ConfigError
from pipeline.live.access import COOKIE, Access, is_foreign, is_loopback, is_same_origin

TOKEN = "correct-horse-battery"


def rules(host: str = "127.0.0.1", token: str = "") -> Access:
    return Access.of(ServeConfig(host=host, token=token), {"SECRET": TOKEN})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "tracker.example", ""])
def test_any_address_that_others_can_reach_needs_a_token(host: str) -> None:
    with pytest.raises(ConfigError, match=r"other machines can reach it.* serve\.token"):
        rules(host)
    assert rules(host, TOKEN).token == TOKEN


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "localhost", "::1", "[::1]"])
def test_this_machine_alone_needs_none(host: str) -> None:
    assert is_loopback(host)
    assert rules(host).may_see({})


def test_a_token_comes_from_the_environment() -> None:
    assert rules(token="${SECRET}").token == TOKEN
    with pytest.raises(ConfigError, match=r"serve\.token: the environment has no variable NONE"):
        rules(token="${NONE}")


@pytest.mark.parametrize("token", ["short", "fünfzehn-und-mehr-zeichen"])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ConfigError, match="at least 16 ASCII characters") as refused:
        rules(token=token)
    assert token not in str(refused.value)


def test_the_token_is_not_part_of_what_is_printed_nor_of_the_cookie() -> None:
    access = rules(token=TOKEN)
    assert TOKEN not in repr(access)
    assert TOKEN not in access.cookie


@pytest.mark.parametrize(
    ("headers", "may_see"),
    [
        ({}, False),
        ({"authorization": f"Bearer {TOKEN}"}, True),
        ({"authorization": f"bearer  {TOKEN}"}, True),
        ({"authorization": f"Basic {TOKEN}"}, False),
        ({"authorization": TOKEN}, False),
        ({"authorization": f"Bearer {TOKEN[:-1]}"}, False),
        ({"authorization": "Bearer "}, False),
        ({"authorization": "Bearer \xff"}, False),
        ({"cookie": f"{COOKIE}={TOKEN}"}, False),
        ({"cookie": f"{COOKIE}="}, False),
        ({"cookie": "a=b; ]=["}, False),
        ({"cookie": f"a=b; {COOKIE}={rules(token=TOKEN).cookie}"}, True),
    ],
)
def test_only_the_token_in_a_header_or_its_cookie_opens_the_page(
    headers: dict[str, str], may_see: bool
) -> None:
    assert rules(token=TOKEN).may_see(headers) is may_see


def test_a_cookie_of_another_token_is_worth_nothing() -> None:
    other = rules(token="another-token-as-long")
    assert not rules(token=TOKEN).may_see({"cookie": f"{COOKIE}={other.cookie}"})


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("127.0.0.1:8080", True),
        ("localhost", True),
        ("localhost:9", True),
        ("[::1]:8080", True),
        ("evil.example:8080", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("192.168.1.4:8080", False),
        ("", False),
    ],
)
def test_a_page_without_a_token_has_no_names_of_other_machines(host: str, is_known: bool) -> None:
    assert rules().knows_host({"host": host}) is is_known
    assert rules(token=TOKEN).knows_host({"host": host})


def test_a_change_needs_the_same_origin_or_the_token_itself() -> None:
    own = {"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8080"}
    other_port = {"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:3000"}
    assert is_same_origin(own)
    assert not is_same_origin(other_port)
    assert not is_same_origin({"host": "127.0.0.1:8080"})
    assert not is_same_origin({"host": "127.0.0.1:8080", "origin": "null"})
    assert not is_same_origin({"origin": "http://"})
    with_token = rules(token=TOKEN)
    cookie = {"cookie": f"{COOKIE}={with_token.cookie}"}
    assert with_token.may_change({"authorization": f"Bearer {TOKEN}"})
    assert with_token.may_change(own | cookie)
    assert not with_token.may_change(other_port | cookie)
    assert not rules().may_change({"authorization": "Bearer "})


def test_other_web_pages_may_link_to_the_page_and_load_nothing_from_it() -> None:
    link = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    frame = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
    for site in ("cross-site", "same-site"):
        assert is_foreign({"sec-fetch-site": site, "sec-fetch-mode": "no-cors"})
        assert is_foreign({"sec-fetch-site": site} | frame)
        assert not is_foreign({"sec-fetch-site": site} | link)
    assert not is_foreign({"sec-fetch-site": "same-origin"})
    assert not is_foreign({})
