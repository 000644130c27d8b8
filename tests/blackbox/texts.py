"""Texts that are easily damaged on the way: combining marks, mixed direction, invisible marks."""

ARABIC_WITH_MARKS = "بِسْمِ اللَّهِ الرَّحْمٰنِ الرَّحِيمِ، مَا هِيَ الأَخْبَارُ؟"
MIXED_DIRECTION = "اكتب \"hello\" ثم ٣٤ + 12 = \u200f46\u200e ثم (تم)"
DECOMPOSED = "cafe\u0301 a\u0308 o\u0302\u0323 \u1100\u1161\u11a8"  # No composed letter in it.
INVISIBLE = "\u2067عربي\u2069 \u200d\u200c \u202bRTL\u202c \ufefffoo\u00a0bar"
BEYOND_THE_PLANE = "👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈 𐎀𐎁 𝒜 \U0010fffd"
JSON_TRAPS = ("quote \" backslash \\ slash / tab \t line \n return \r bell \u0007 "
              "\u2028\u2029 </script>")
ZALGO = "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319a\u0323\u0320\u031f"

DELICATE = {
    "arabic_with_marks": ARABIC_WITH_MARKS,
    "mixed_direction": MIXED_DIRECTION,
    "decomposed": DECOMPOSED,
    "invisible": INVISIBLE,
    "beyond_the_plane": BEYOND_THE_PLANE,
    "json_traps": JSON_TRAPS,
    "zalgo": ZALGO,
}
