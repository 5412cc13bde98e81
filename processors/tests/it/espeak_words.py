"""Speaks a text with eSpeak NG and tells when each word was spoken.

usage: espeak_words.py VOICE WORDS_PER_MINUTE OUT.s16 < TEXT

Writes signed 16-bit mono samples to OUT.s16 and JSON to standard output:
{"rate": 22050, "words": [{"text", "start_s", "end_s"}, ...]}.
The times are the synthesiser's own: a word begins with its event and ends where its last phoneme ends.
"""

import ctypes
import ctypes.util
import json
import sys

SYNCHRONOUS, PHONEME_EVENTS, CHARS_UTF8 = 2, 1, 1
LIST_TERMINATED, WORD, PHONEME = 0, 1, 7
PARAMETER_RATE = 1


class Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", Id),
    ]


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(Event))


def speak(voice, words_per_minute, text):
    """Returns the sample rate, the samples as bytes, and the events as (kind, sample, position, length, name)."""
    library = ctypes.CDLL("libespeak-ng.so.1")
    library.espeak_Synth.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint,
                                     ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p]
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, None, PHONEME_EVENTS)
    samples, events = bytearray(), []

    def heard(wave, count, event):
        if wave and count:
            samples.extend(ctypes.string_at(wave, count * 2))
        index = 0
        while event[index].type != LIST_TERMINATED:
            e = event[index]
            name = e.id.string.decode("utf-8", "replace") if e.type == PHONEME else ""
            events.append((e.type, e.sample, e.text_position, e.length, name))
            index += 1
        return 0

    callback = CALLBACK(heard)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        sys.exit(f"eSpeak NG has no voice {voice}")
    library.espeak_SetParameter(PARAMETER_RATE, words_per_minute, 0)
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, CHARS_UTF8, None, None)
    library.espeak_Synchronize()
    return rate, bytes(samples), events


def words(text, rate, events, total):
    """Turns events into words with start and end in seconds."""
    found = []
    for index, (kind, sample, position, length, _) in enumerate(events):
        if kind != WORD:
            continue
        end = total
        for later_kind, later_sample, _, _, name in events[index + 1:]:
            pause = later_kind == PHONEME and (name.startswith("_") or name == "")
            if later_kind == WORD or (pause and later_sample > sample):
                end = later_sample
                break
        spoken = text[position - 1:position - 1 + length]
        found.append({"text": spoken, "start_s": sample / rate, "end_s": end / rate})
    return found


def main():
    voice, words_per_minute, out = sys.argv[1:4]
    text = sys.stdin.read()
    rate, samples, events = speak(voice, int(words_per_minute), text)
    with open(out, "wb") as file:
        file.write(samples)
    if "--events" in sys.argv:
        print(events, file=sys.stderr)
    json.dump({"rate": rate, "words": words(text, rate, events, len(samples) // 2)}, sys.stdout)


main()
