def find_slot(slots)
  index = 0
  index += 1 until slots[index % slots.size].nil?
end

find_slot([1, 2, 3])
