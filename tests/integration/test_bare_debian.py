"""The room that is played the fresh machine: it must be bare, or what runs in it proves nothing."""

import pytest

from tests.bare_debian import BareDebian

pytestmark = pytest.mark.timeout(900)


def test_a_bare_debian_has_no_python_sees_no_process_of_this_machine_and_says_what_went_wrong(
    debian: BareDebian,
) -> None:
    assert debian.run("command -v python3 pip supervisord systemctl curl sudo || true") == ""
    assert debian.run("cd /proc; printf '%s ' [0-9]*") == "1 "
    with pytest.raises(AssertionError, match=r"ended with status 3:\nbefore\n$"):
        debian.run("echo before; (exit 3); echo after")
