from otter.test_files import test_case

OK_FORMAT = False

name = "q1"
points = None

@test_case(points=1, hidden=False)
def test_q1_two_levels(encode_levels):
    import numpy as np
    from vqlib.coursework import call, compare
    blocks = np.array([[-0.1, 0.5, 0.3, 1.2], [0.7, 0.3, 0.5, 1.1]])
    images = np.kron(blocks, np.ones((2, 2)))[None] + np.tile([[0.25, -0.25], [-0.25, 0.25]], (2, 4))
    books = [np.array([1.0, 0.2]), np.array([-0.6, -0.2, 0.2, 0.6, 1.0])]
    grids = call(encode_levels, images, books)
    if not isinstance(grids, (list, tuple)) or len(grids) != 2:
        raise AssertionError('For two codebooks, encode_levels should return a list of two grids of codes.')
    order = {'The list has the bottom level first.': [[[1, 2, 0, 2], [3, 2, 0, 2]]]}
    compare(grids[0], [[[1, 0]]], 'the grid of top codes', order)
    mistakes = {'It was told the top before quantization. The decoder will not have that.': [[[0, 2, 0, 3], [2, 1, 1, 2]]], 'It repeats what the top has said already. Was it told the top?': [[[1, 3, 2, 4], [3, 2, 3, 4]]], 'Each *entry* of the top lies over its own block; the grid is not repeated.': [[[1, 0, 2, 2], [3, 0, 2, 2]]], 'The whole grid was repeated. Each *entry* of the top lies over its own block.': [[[0, 1, 1, 3], [2, 1, 1, 3]]], 'What is left over has the wrong sign.': [[[2, 1, 3, 1], [0, 1, 3, 1]]], 'What the top says is added. The bottom is for what it leaves over.': [[[2, 3, 4, 4], [4, 3, 4, 4]]], "The top's codes were laid over the image. Codes are names; what do they stand for?": [[[0, 0, 2, 4], [1, 0, 3, 4]]]}
    compare(grids[1], [[[1, 2, 0, 2], [3, 2, 0, 2]]], 'the grid of bottom codes', mistakes)
