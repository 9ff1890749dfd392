"""Moving in: what other products call policies, rules and syncs becomes policy files of ours.

Readers turn one product's export into drafts; nothing here asks a registry or writes a policy.
Rules that keep an image back are carried or the whole entry is left out, with the reason: what is
written never lets more through than the entry did, unless a note on it says so.
"""
