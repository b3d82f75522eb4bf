def load_settings(path):
    with open(path) as settings:
        return settings.read()


load_settings("hung/settings")
