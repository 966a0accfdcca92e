"""Every sentence the exercise engine can say to a learner, in one place for translation.

Templates are filled with `str.format`; `backticks` become code in the HTML form.
"""

# The notebook's cells
YOUR_CODE = "your code here"
YOUR_ANSWER = "your answer"
HINT_SUMMARY = "Hint {level}"
SOLUTION_SUMMARY = "Solution"

# The four outcomes: symbol (HTML only: not every terminal has it) and headline
HEADLINES = {
    "todo": ("…", "not attempted yet"),
    "error": ("!", "could not finish"),
    "wrong": ("✗", "not right yet"),
    "right": ("✓", "right"),
}

# Labels of the details below a message
INPUT = "input"
GOT = "got"
EXPECTED = "expected"
PRINTED = "printed"
AN_EXCEPTION = "{name} raised"

# Right, and not attempted
RIGHT_VALUE = "Well done."
RIGHT_FUNCTION = "Your function agrees with the reference on all {total} inputs tried."
NOT_SAVED = "(This could not be saved; `progress()` says where it should be.)"
TODO_VALUE = "Replace the `...` in the cell above by your answer, run it, then run this cell again."
TODO_FUNCTION = (
    "Replace the `...` in the cell above by your code, run it, then run this cell again."
)

# What was handed in
NOT_A_FUNCTION = (
    "This exercise checks a function, but got {kind}. "
    "Pass the function itself, without calling it: `{call}`."
)
NOT_A_VALUE = "This exercise asks for a value, but your function wants arguments: `{signature}`."
WRONG_ARGUMENTS = (
    "Your function does not accept the arguments of the task. "
    "It is called as `{wanted}`; yours is `{given}`."
)
NO_RETURN = "Your function returned `None`: did you forget `return`?"
NO_RETURN_PRINTED = "Your function prints its result but returns `None`: `return` it instead."
NO_RETURN_HERE = "For this input your function returned `None`: does every path end in `return`?"

# How a result differs
SOME_RIGHT = "Right for {right} of {total} inputs, but not for this one."
SAME_FOR_ALL = "Your function returns the same result for every input."
AT_KEY = "key {key}"
AT_INDEX = "index {index}"
AT = "At {place}: "
JOIN = ", "
WRONG_TYPE = "got {got}, but {expected} is expected."
WRONG_TYPE_HINTS = {
    ("a NumPy array", "a number"): "Take one element, or `.item()`.",
    ("a torch tensor", "a number"): "`.item()` makes a number of it.",
    ("a torch tensor", "a NumPy array"): "`.numpy()` makes an array of it.",
    ("a list or tuple", "a NumPy array"): "`np.array(...)` makes an array of it.",
    ("a NumPy array", "a list or tuple"): "`.tolist()` makes a list of it.",
    ("a generator", "a list or tuple"): "`list(...)` makes a list of it.",
    ("a string", "a number"): "Leave out the quotation marks.",
}
WRONG_DTYPE = "the array holds {got}, but {expected} is expected."
WRONG_SHAPE = "the shape is {got}, but {expected} is expected."
WRONG_LENGTH = "there are {got} items, but {expected} are expected."
MISSING_KEYS = "missing: {names}."
EXTRA_KEYS = "too many: {names}."
AND_MORE = "{names} and {more} more"
IS_NAN = (
    "the result is nan (not a number). Look for 0/0, inf - inf, or the log of a negative number."
)
IS_INFINITE = "the result is infinite. Look for a division by zero or the log of 0."
DIFFERS = "the value differs."
DIFFERS_ARRAY = "the value differs ({count} of {total} entries do)."
TOO_LARGE = "Your answer is too large."
TOO_SMALL = "Your answer is too small."
TOO_COARSE = "Close: give at least three significant digits, or the fraction itself."
VALUE_DIFFERS = "Your answer is not the right one."
CHANGES_INPUT = (
    "The result is right, but your function changes its input `{names}`. "
    "Work on a copy, or build a new object."
)
SHOULD_RAISE = "For this input a `{name}` should be raised."

# What kind of thing something is
KINDS = {
    "none": "`None`",
    "bool": "True or False",
    "number": "a number",
    "string": "a string",
    "array": "a NumPy array",
    "tensor": "a torch tensor",
    "mapping": "a dictionary",
    "set": "a set",
    "sequence": "a list or tuple",
    "generator": "a generator",
    "function": "a function",
}
OTHER_KIND = "an object of type {name}"

# The learner's code stopped
RAISED = "Your code raised `{error}`."
RAISED_AT = "Your code raised `{error}` in line {line} of your function: `{text}`"
RECURSION = "Your function calls itself without end. Which input should stop it?"
EXITED = "Your code asked Python to exit. Use `return` to leave a function."
TIME_UP = "Your code ran for more than {seconds:g} s: is there an endless loop?"
TIME_UP_AT = (
    "Your code ran for more than {seconds:g} s: is there an endless loop? "
    "It was in line {line} of your function: `{text}`"
)
INTERRUPTED = "Stopped: the check was interrupted."

# The engine's own trouble
UNKNOWN_ID = "There is no exercise `{id}`."
DID_YOU_MEAN = "Did you mean {names}?"
OR = " or "
ENGINE_FAULT = (
    "Sorry: the checker itself could not deal with this ({name}). "
    "Your work may be fine; please report it with the code you tried."
)
NOT_SHOWN = "(a value that cannot be shown)"

# Hints
HINT_TITLE = "Hint {level} of {count}"
NO_SUCH_HINT = "This exercise has hints 1 to {count}."

# Progress
PROGRESS = "Progress"
PROGRESS_TITLE = "{done} of {total} exercises done"
CHANGED_SINCE = "changed since you solved it"
DONE = "done on {date}"
NOT_DONE = "not done yet"
KEPT_IN = "Kept in {path}."
UNREADABLE = "The file {path} cannot be read and counts as empty."
