"""The form in which a policy is made and changed: the same policy as its file, in fields."""
