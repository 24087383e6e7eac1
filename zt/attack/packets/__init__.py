"""Attack 1 with real packets: what the live rules would decide stands beside what arrived.

`parcels` lists what is sent, `verdict` asks the live rules, `senders` has the containers that packets leave from,
`shell` is the program that sends them and what its output means, `attempts` are the rows.
"""
