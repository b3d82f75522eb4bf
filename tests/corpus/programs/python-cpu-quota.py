def train():
    return sum(n * n for n in range(10**12))


train()
