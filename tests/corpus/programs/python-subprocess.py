import subprocess


def migrate():
    subprocess.run(["sleep", "600"])


migrate()
