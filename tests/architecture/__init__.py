"""What holds for the whole house: who may import whom, and what nothing may be named."""
