"""Workers of a shared study, placed on devices by Ray; the only folder that imports it.

The study's state is in its database, so Ray only starts processes where there is room for them, and
starts another one where one is lost.
"""
