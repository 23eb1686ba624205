"""The points of an experiment handed to the workers of a Dask cluster, and their records kept.

Only this process keeps records, so the workers need no disk in common with it. No more points are
under way than there are threads to run them: so a worker that dies takes with it only what it was
really running, and that is run elsewhere.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from multiprocessing import resource_tracker
from pathlib import Path

from companion.experiments.experiment import Experiment, Settings
from companion.experiments.lock import BusyError, lock
from companion.experiments.point import clear, error_of, record_of, run_point
from companion.experiments.store import Record, read_all, write
from companion.extras import missing

try:
    import dask
    from dask.system import CPU_COUNT
    from distributed import CancelledError, Client, Future, LocalCluster, wait

    from companion.experiments.progress import Progress
except ModuleNotFoundError as error:
    raise missing("a run", error) from error

TIMES_KILLED = 3  # after which a point is recorded as failed: it may itself be what kills
LOOK = 1.0  # seconds between two looks at how many workers there are
FETCH = 60.0  # seconds in which a record must arrive from a worker; if not, it was lost with it
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def run(
    experiment: Experiment,
    folder: Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    retry: bool = False,
) -> list[Record | None]:
    """Run the points that have no record yet, with retry also those that failed.

    folder: where the records are and come. workers: how many processes on this machine, of one
    thread each; one for each processor if not given. scheduler: the address of a Dask cluster,
    which is used in their place. Returns the records of all points, in order.
    Raises BusyError while another run uses the folder, ConnectionError when the cluster cannot be
    reached or is lost: what is finished by then is kept.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; expected at least 1")
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        records = read_all(folder, experiment)
        todo: deque[Settings] = deque()
        for settings, record in zip(experiment.points, records, strict=True):
            if record is None or (retry and "error" in record):
                todo.append(settings)
            elif "error" not in record:
                clear(folder, settings)  # if a run was killed between the two
        if todo:
            with (
                closing(Progress(records, len(todo))) as progress,
                _client(scheduler, min(workers or CPU_COUNT, len(todo))) as client,
            ):
                for record in _finished(client, experiment, folder, todo, progress):
                    write(folder, record)
                    if "error" not in record:
                        clear(folder, record["settings"])
        return read_all(folder, experiment)


def _finished(
    client: Client, experiment: Experiment, folder: Path, todo: deque[Settings], progress: Progress
) -> Iterator[Record]:
    """The records of the points to do, each as soon as it is there."""
    under_way: dict[Future[Record], tuple[Settings, float]] = {}
    try:
        while todo or under_way:
            threads = sum(client.nthreads().values())
            while todo and len(under_way) < max(threads, 1):
                settings = todo.popleft()
                future = client.submit(
                    run_point, experiment.name, experiment.run, settings, str(folder), pure=False
                )
                under_way[future] = settings, time.monotonic()
            try:
                wait(list(under_way), timeout=LOOK, return_when="FIRST_COMPLETED")
            except TimeoutError:
                progress.tick(waiting_for_workers=threads == 0)
            for future in [future for future in under_way if future.status != "pending"]:
                settings, begin = under_way[future]
                try:
                    record = _fetched(future, experiment, settings, begin)
                except TimeoutError:
                    continue  # the worker died with it; Dask runs the point again
                del under_way[future]
                future.release()  # else it is run again if the worker that holds the result dies
                progress.add(record, max(threads, 1))
                yield record
    except (CancelledError, OSError) as error:
        raise ConnectionError(
            f"the scheduler is lost ({type(error).__name__}); what is finished is kept"
        ) from error


def _fetched(
    future: Future[Record], experiment: Experiment, settings: Settings, begin: float
) -> Record:
    try:
        return future.result(timeout=FETCH)
    except (CancelledError, TimeoutError):
        raise
    except Exception as error:  # run_point raises nothing: it was not reached, or not its end
        seconds = time.monotonic() - begin
        return record_of(experiment.name, settings, {"error": error_of(error)}, seconds)


@contextmanager
def _client(scheduler: str | None, workers: int) -> Iterator[Client]:
    """A client of the cluster at that address, or of one on this machine that ends with it."""
    with ExitStack() as stack:
        if scheduler is None:
            os.environ.update(ONE_THREAD)  # what a worker inherits must be there when it starts
            stack.enter_context(
                dask.config.set({"distributed.scheduler.allowed-failures": TIMES_KILLED - 1})
            )
            with _deaf():  # a worker that takes the place of a killed one is deaf too
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                )
            stack.enter_context(cluster)
            scheduler = cluster.scheduler_address
        try:
            client = stack.enter_context(Client(scheduler, timeout=10))
        except (OSError, ValueError) as error:
            raise ConnectionError(f"scheduler {scheduler} cannot be reached: {error}") from error
        yield client


@contextmanager
def _deaf() -> Iterator[None]:
    """Let threads and processes that are started in here not hear Ctrl-C.

    In a terminal it reaches every process, and only this one is to act on it.
    """
    resource_tracker.ensure_running()  # who starts it first hears again afterwards
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other runs out of the folder."""
    try:
        with lock(folder / "lock", wait=False):
            yield
    except BusyError as error:
        raise BusyError(
            f"folder {folder} is in use by a run ({error}); wait for its end, or use another"
        ) from None
