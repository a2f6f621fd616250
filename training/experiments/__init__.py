"""Many trainings of one recipe held together: seeds, the search for better numbers, and the learning curve."""
