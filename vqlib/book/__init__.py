"""What carries the book, rather than the models: checks of exercises, kept trainings, the first cell, the doctor."""
