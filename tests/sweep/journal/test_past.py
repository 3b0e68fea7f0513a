"""What a journal says of the trials and of the time."""

from sweep.journal.past import ended_numbers, last_entry, seconds_used


def entry(kind, time=0.0, **fields):
    return {"kind": kind, "time": time, **fields}


def test_the_last_entry_of_a_kind():
    entries = [entry("session", 1.0), entry("session", 2.0), entry("close", 3.0)]
    assert last_entry(entries, "session") == entries[1]
    assert last_entry(entries, "more") is None


def test_trials_that_run_again_have_not_ended():
    entries = [entry("end", number=number) for number in range(4)]
    assert ended_numbers(entries) == {0, 1, 2, 3}
    entries.append(entry("again", numbers=[1, 3]))
    assert ended_numbers(entries) == {0, 2}
    entries.append(entry("end", number=3))
    assert ended_numbers(entries) == {0, 2, 3}


def test_time_between_drivers_and_before_trials_does_not_count():
    entries = [
        entry("begin", 0.0), entry("session", 10.0), entry("start", 12.0), entry("result", 15.0),
        entry("session", 1000.0), entry("close", 1007.0),
    ]  # fmt: skip
    assert seconds_used(entries) == 12.0
    assert seconds_used(entries[:4]) == 5.0
    assert seconds_used(entries[:1]) == 0.0
    assert seconds_used([]) == 0.0
