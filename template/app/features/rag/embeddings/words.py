"""Words that say little of what a text is about, in English and German."""

COMMON = frozenset(
    """
    a about after all also an and any are as at be because been before but by can could did do does
    for from had has have he her his how i if in into is it its just may me more most my no not of
    on one only or other our out over she should so some such than that the their them then there
    these they this those to too up us use used was we were what when where which while who why will
    with would you your

    aber als am an auch auf aus bei beim bin bis da dann das dass dem den der des die dies diese du
    durch ein eine einem einen einer eines er es fur hat haben ich ihr im in ist ja kann kein keine
    konnen man mehr mein mit muss nach nicht noch nur ob oder ohne sein sich sie sind so uber um und
    uns unter vom von vor war warum was welche wenn wer werden wie wir wird wo wurde zu zum zur
    """.split()  # noqa: SIM905 (a list of words is read more easily so)
)
