function findSlot(slots) {
  let index = 0;
  while (slots[index % slots.length] !== undefined) index += 1;
}

findSlot([1, 2, 3]);
