def find_slot(slots):
    index = 0
    while slots[index % len(slots)] is not None:
        index += 1


find_slot([1, 2, 3])
