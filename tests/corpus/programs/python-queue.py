import queue


def next_job(jobs):
    return jobs.get()


next_job(queue.Queue())
