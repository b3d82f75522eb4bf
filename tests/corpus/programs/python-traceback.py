import os


def load_config():
    return os.environ["DATABASE_URL"]


load_config()
