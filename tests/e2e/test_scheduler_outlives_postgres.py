import os
import signal

from tests.fixtures.platform import Platform, wait_until


def test_the_scheduler_leads_again_when_postgres_was_killed(platform: Platform):
    scheduler, led_before = platform.pids()["scheduler"], times_it_led(platform)

    os.kill(platform.pids()["postgres"], signal.SIGKILL)

    wait_until(lambda: times_it_led(platform) > led_before, within_s=60)
    assert platform.pids()["scheduler"] == scheduler


def times_it_led(platform: Platform) -> int:
    return platform.log.read_text().count("scheduler_leads")
