from otter.test_files import test_case

OK_FORMAT = False

name = "q2"
points = None

@test_case(points=1, hidden=False)
def test_q2_small(what_remains):
    import numpy as np
    from vqlib.coursework import expect
    images = np.array([[[0.0, 0.4, 1.0, 1.0], [0.0, 0.0, 1.0, 0.6], [0.0, 0.0, 0.2, 0.2], [0.0, 0.0, 0.2, 0.2]]])
    mistakes = {'The bottom says the mean of 2 x 2 pixels, not the pixels. What stays unsaid in both cases?': [0.0, 0.04], 'In the second case the decoder gets another top than the bottom was told. Where does the difference go?': [0.015, 0.015], 'Something stays unsaid in the second case, too.': [0.015, 0.04], 'The two are in the wrong order.': [0.055, 0.015], 'The second is the error of the top alone. The bottom mends most of that.': [0.015, 0.18], 'That is what a decoded top of 4 x 4 means leaves over. The bottom sees more.': [0.14, 0.18]}
    arguments = (images, np.array([0.0, 0.5, 1.0]))
    expect(what_remains, arguments, [0.015, 0.055], 'the pair of errors that remain', mistakes)

@test_case(points=0, hidden=False)
def test_q2_errors_are_there(env):
    import numpy as np
    errors = env.get('my_errors')
    if errors is None or errors is ...:
        raise AssertionError('There is no value yet for my_errors.')
    if np.shape(errors) != (2,):
        raise AssertionError('my_errors should be a list of two numbers.')
