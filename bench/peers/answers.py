"""How a peer answers rtl_bench: lines "JOB SETTING" on standard input, one line of JSON for each. With one thread the
clock is processor time, as in rtl_bench."""

import json
import os
import sys
import time


class Answers:
    """To be made before libraries are imported that print: standard output is for answers alone."""

    def __init__(self):
        self.out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def write(self, answer):
        print(json.dumps(answer), file=self.out, flush=True)

    def serve(self, name, jobs, prepare, threads):
        """prepare(job, setting) gives a function that does the job once and returns units, or units and a result."""
        clock = time.process_time if threads == 1 else time.perf_counter
        self.write({"name": name, "jobs": jobs})
        prepared = {}
        for line in sys.stdin:
            job, setting = line.split()
            if (job, setting) not in prepared:
                prepared[job, setting] = prepare(job, setting)
                prepared[job, setting]()  # warms up
                prepared[job, setting]()
            begin = clock()
            done = prepared[job, setting]()
            seconds = clock() - begin
            units, result = done if isinstance(done, tuple) else (done, "")
            self.write({"seconds": seconds, "units": units} | ({"result": result} if result else {}))
