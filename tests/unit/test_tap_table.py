"""The table that the tap shows."""

from api.tap_table import Seen, table
from tests.builders import make_gpu, make_lost_gpu, make_missing_source, make_snapshot, make_source


def test_each_gpu_has_a_line_and_a_host_without_any_too() -> None:
    here = make_snapshot(host="b", gpus=[make_lost_gpu(1), make_gpu(0)])
    there = make_snapshot(host="a", gpus=[], source=make_missing_source())
    lines = table([Seen(here, 10.0), Seen(there, 4.0)], 12.0).splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "host age source gpu name state gpu % memory MiB celsius watts",
        "a 8.0 s unavailable - - - - - - -",
        "b 2.0 s ok 0 NVIDIA GeForce RTX 3080 ok 75 8192 / 10240 65 220.5",
        "b 2.0 s ok 1 NVIDIA GeForce RTX 3080 lost - - / - - -",
    ]


def test_a_replay_is_told_as_one_and_nothing_that_a_peer_wrote_moves_the_cursor() -> None:
    snapshot = make_snapshot(gpus=[make_gpu(name="\x1b[2Jevil" + 100 * "x")], source=make_source(replay_of_ns=1))
    (line,) = table([Seen(snapshot, 0.0)], 0.0).splitlines()[1:]
    assert "replay" in line
    assert "?[2Jevil" in line
    assert "\x1b" not in line
    assert len(line) < 200
