"""The benchmarks run and measure what they say; nothing checks their figures."""

from benchmarks import record, stages


def test_stages_measures_every_stage_but_decode_detect_embed_and_encode() -> None:
    timings = stages.measure(5, 2.0, 640, 360)
    assert set(timings.seconds) == {"track", "gather", "link", "write", "draw"}
    assert set(timings.counts.values()) <= {50, 1}
    assert all(seconds > 0 for seconds in timings.seconds.values())


def test_no_line_is_written_without_a_file_to_write_to() -> None:
    record.append(None, "x", {}, {})
