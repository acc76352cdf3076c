"""Time on a machine that has other work and may stand still for seconds: a lower bound holds at every measurement, an upper one, which is about the server, at one
of three.  A standstill spoils one measurement; a server that is late is late each time.  And waits: for what happens, not for a time."""
import time

TRIES = 3


def wait_for(what, seconds=20, why="it did not happen"):
    """What WHAT() gives as soon as it is something; after the last of SECONDS it is asked once more, as this process may have stood still meanwhile."""
    end, late = time.monotonic() + seconds, False
    while not (got := what()):
        assert not late, f"after {seconds} s: {why() if callable(why) else why}"
        time.sleep(0.02)
        late = time.monotonic() > end
    return got


def seconds_of(what):
    """(what WHAT() gives, the seconds that it took)"""
    begin = time.monotonic()
    return what(), time.monotonic() - begin


def within(most, what, least=0):
    """What WHAT() gives, which takes LEAST seconds each time and MOST at one of three tries; WHAT must bear to be done three times."""
    return measured(most, lambda: seconds_of(what), least)


def measured(most, measure, least=0):
    """The same with a clock of its own: MEASURE() gives (something, seconds)."""
    tries = []
    while True:
        got, seconds = measure()
        tries.append(seconds)
        assert seconds >= least, f"after {seconds:.3f} s, not {least}"
        if seconds <= most:
            return got
        assert len(tries) < TRIES, f"over {most} s each time: {tries}"


def sleep(seconds):
    """In small pieces: others, for whose work it is, have had that time when the machine stood still meanwhile."""
    for _ in range(round(seconds / 0.05)):
        time.sleep(0.05)
