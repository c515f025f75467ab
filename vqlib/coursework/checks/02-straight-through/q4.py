from otter.test_files import test_case

OK_FORMAT = False

name = "q4"
points = None

@test_case(points=1, hidden=False)
def test_q4_two_models(diagnose):
    import numpy as np
    from vqlib.coursework import call
    z, e = (np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[2.0, 2.0], [0.0, -1.0]]))
    cases = {'right': ([[-0.125, 0.0], [0.0, 0.25]], [[0.5, 0.0], [0.0, -1.0]]), 'beta': ([[-0.5, 0.0], [0.0, 1.0]], [[0.125, 0.0], [0.0, -0.25]])}
    for truth, (gradient_z, gradient_e) in cases.items():
        answer = call(diagnose, z, e, np.array(gradient_z), np.array(gradient_e), 0.25)
        if answer != truth:
            pulled = 'z four times as hard as e' if truth == 'beta' else 'e four times as hard as z'
            raise AssertionError(f'At beta = 0.25 a model pulls {pulled}, and diagnose says {answer!r}. How hard does each loss pull on each of the two when all is right?')
