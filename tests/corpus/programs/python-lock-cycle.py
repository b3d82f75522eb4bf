import threading

accounts, orders = threading.Lock(), threading.Lock()
both = threading.Barrier(2)


def load_accounts():
    with accounts:
        both.wait()
        with orders:
            pass


def load_orders():
    with orders:
        both.wait()
        with accounts:
            pass


threads = [threading.Thread(target=load_accounts), threading.Thread(target=load_orders)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
