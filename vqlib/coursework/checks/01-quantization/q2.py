from otter.test_files import test_case

OK_FORMAT = False

name = "q2"
points = None

@test_case(points=1, hidden=False)
def test_q2_small(margins):
    import numpy as np
    from vqlib.coursework import expect
    x = np.array([[1.0, 0.0], [2.0, 5.0], [-3.0, 1.0]])
    codebook = np.array([[0.0, 0.0], [4.0, 0.0]])
    mistakes = {'Half the difference of the two distances is not the way to the border, unless x is on the segment.': [1.0, 0.0, (np.sqrt(50) - np.sqrt(10)) / 2], 'Did you divide by how far the two codewords are apart?': [8.0, 0.0, 40.0], 'Twice too far: the border is halfway between the codewords.': [2.0, 0.0, 10.0], "Each margin comes out as zero. Is the vector's own codeword among those it is compared with?": [0.0, 0.0, 0.0]}
    expect(margins, (x, codebook), [1.0, 0.0, 5.0], 'the array of margins', mistakes)
