from concurrent.futures import ThreadPoolExecutor

pool = ThreadPoolExecutor(max_workers=1)


def load_shop(name):
    return len(name)


def load_region(names):
    return sum(pool.submit(load_shop, name).result() for name in names)


def main():
    print(pool.submit(load_region, ["north", "south"]).result())


main()
