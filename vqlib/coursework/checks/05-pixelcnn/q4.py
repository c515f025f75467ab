from otter.test_files import test_case

OK_FORMAT = False

name = "q4"
points = None

@test_case(points=1, hidden=False)
def test_q4_small(bits_to_complete):
    import numpy as np
    from vqlib.coursework import expect
    p = np.array([1 / 2, 1 / 4, 1 / 8, 1 / 8])
    logits = np.log(p) + np.arange(8.0).reshape(2, 2, 2, 1)
    codes = np.array([[[3, 2], [1, 0]], [[0, 1], [1, 0]]])
    keep = np.array([[True, False], [False, False]])
    bits = np.array([6.0, 5.0])
    mistakes = {'Those are nats. A bit is ln 2 nats.': np.log(2) * bits, 'Fewer than the nats. Was something multiplied that should be divided?': np.log(2) ** 2 * bits, 'What is kept costs nothing: the receiver has it.': [9, 6], 'That is what the kept codes cost. They are the ones that cost nothing.': [3, 1], 'That is for each code. By the chain rule a grid costs the sum.': bits / 3, 'That is for each code of the grid. By the chain rule a grid costs the sum.': bits / 4, 'One number for each grid, not the mean over all grids.': 5.5, 'One number for each grid, not the sum over all grids.': 11.0, 'No code costs less than nothing. Is the sign right?': -bits, 'That is what the likeliest codes would cost, not those that are there.': [3, 3], 'The logits are no logarithms of probabilities yet.': bits - np.array([6, 18]) / np.log(2), 'Over which axis do the probabilities sum to 1? Not over the rows of the grid.': [3.43474532] * 2, 'Over which axis do the probabilities sum to 1? Not over the columns of the grid.': [2.79851829] * 2}
    expect(bits_to_complete, (logits, codes, keep), bits, 'the array of bits', mistakes)
