"""Compares json with Python's google.protobuf.json_format, document by document.

    oracle.py DRIVER DESCRIPTOR_SET

For each document both must accept or both refuse. What both accept must be the same message (its bytes), and what the
driver prints of it must be read by Python as that message again. Where we differ on purpose, the document must fall
under one of KNOWN_DIFFERENCES, each with its reason; anything else fails the test.
"""

import json
import random
import re
import subprocess
import sys

from google.protobuf import (any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, empty_pb2, field_mask_pb2,
                             json_format, message_factory, struct_pb2, symbol_database, timestamp_pb2, wrappers_pb2)

SEED = 20260131
GENERATED = 100_000
TYPE = "json.test.v1.Everything"

# (name, why we differ, what our error must match, what Python's error must match); None: accepted by that side.
KNOWN_DIFFERENCES = [
    ("number in a string", "Python's int() and float() take +1, 01, 1_0, blanks, non-ASCII digits; JSON's grammar has none",
     r"expected (integer|number), got string|key is no u?int", None),
    ("exponent in a string", "the rules give integers quoted with exponent or .0, which Python's int() refuses",
     None, r"invalid literal for int"),
    ("number of an enum in a string", "a string is the name of a value", r"is no value of", None),
    ("fraction or boolean for an enum", "Python's int() cuts 1.5 to 1 and takes true for 1",
     r"expected (integer, got number with a fraction|name of a value, got boolean)", None),
    ("number of an enum beyond 32 bits", "Python cuts it", r"^(color|nullValue|choiceNull): out of range of int32", None),
    ("boolean for a number", "Python takes true for 1 in floating fields", r"expected number, got boolean", None),
    ("number beyond the largest double", "Python makes it infinite", r"out of range of double", None),
    ("largest float", "Python refuses what rounds to the largest float", None, r"Float value too (large|small)"),
    ("two spellings of a field", "the rules count them as one key; Python takes the last", r"given twice", None),
    ("empty array or string for a message", "Python looks for members and finds none, which is enough for it",
     r"expected object, got (array|string)", None),
    ("NaN and Infinity without quotes", "Python's json module takes them; RFC 8259 does not",
     r"not valid JSON at .*: invalid token", None),
    ("base64", "Python skips what is not base64, and misplaced padding", r"not valid base64", None),
    ("time that its offset takes out of range", "Python checks the year that is written", r"outside the years 1 to 9999", None),
    ("U+0000", "a string in C cannot hold it", r"U\+0000 in a string", None),
    ("null for a repeated Value or NullValue", "Python mistakes the list for the value", None, r"^AttributeError"),
    ("null in a repeated NullValue", "it is what both print for it, so it has to be readable", None,
     r"null is not allowed .*\.repeatedNull"),
    ("null for a Value in a oneof", "Value keeps null, so another of the oneof is one too many; Python takes the last",
     r"only one of its oneof may be set", None),
    ("field mask", "an empty path is none", r"expected paths in lowerCamelCase", None),
    ("members of Any", "Python passes over what stands beside @type and value", r"expected only @type and value", None),
    ("type of Any", "a URL has a slash before the name", r"unknown type; expected", None),
]

# The same for documents that both accept. Each only when the messages are the same but for the sign of zeros.
MINUS_ZERO = ("minus zero", "Python's json module reads -0 as an integer, which has no sign; protobuf-c's pack leaves out "
              "a field without presence that is -0")


class Oracle:
    def __init__(self, driver, descriptor_set):
        self.driver = driver
        pool = descriptor_pool.Default()
        files = descriptor_pb2.FileDescriptorSet()
        with open(descriptor_set, "rb") as file:
            files.ParseFromString(file.read())
        for file in files.file:
            if not file.name.startswith("google/"):
                pool.Add(file)
        self.type = symbol_database.Default().GetPrototype(pool.FindMessageTypeByName(TYPE))
        self.agreed = {"accepted": 0, "refused": 0}
        self.differed = {difference[0]: 0 for difference in KNOWN_DIFFERENCES}
        self.differed[MINUS_ZERO[0]] = 0
        self.reordered = 0
        self.failures = []

    def parse(self, text):
        """The message's bytes and None, or None and the error."""
        message = self.type()
        try:
            json_format.Parse(text, message)
        except Exception as error:  # json_format lets TypeError, KeyError and the like through
            return None, "%s: %s" % (type(error).__name__, error)
        return message.SerializeToString(deterministic=True), None

    def normal(self, data):
        return self.type.FromString(data).SerializeToString(deterministic=True)

    def compare(self, document, answer):
        verdict, *rest = answer.split("\t")
        theirs, their_error = self.parse(document)
        if verdict == "no":
            self.count(document, theirs is None, "refused", rest[0], their_error)
            return
        ours, printed = bytes.fromhex(rest[0]), rest[1]
        if theirs is None:
            self.count(document, False, "", None, their_error)
        elif self.normal(ours) != theirs:
            self.check_other_message(document, self.normal(ours), theirs, printed)
        else:
            self.agreed["accepted"] += 1
        self.compare_printed(document, self.normal(ours), printed)

    def compare_printed(self, document, message, printed):
        again, error = self.parse(printed)
        if again is None and not any(ours is None and matches(theirs, error) for *_, ours, theirs in KNOWN_DIFFERENCES):
            self.failures.append(("printed is refused", document, printed, error))
        elif again is not None and again != message:
            self.check_other_message(document, message, again, printed)

    def check_other_message(self, document, ours, theirs, printed):
        """Other bytes. As JSON they may be the same: within an Any, Python packs maps in an order that varies."""
        ours, theirs = self.sorted_json(ours), self.sorted_json(theirs)
        if ours == theirs:
            self.reordered += 1
        elif without_minus_zero(ours) == without_minus_zero(theirs):
            self.differed[MINUS_ZERO[0]] += 1
        else:
            self.failures.append(("another message", document, printed, theirs))

    def sorted_json(self, data):
        return json_format.MessageToJson(self.type.FromString(data), including_default_value_fields=True, sort_keys=True)

    def count(self, document, agreed, verdict, our_error, their_error):
        if agreed:
            self.agreed[verdict] += 1
            return
        for name, _, ours, theirs in KNOWN_DIFFERENCES:
            if matches(ours, our_error) and matches(theirs, their_error):
                self.differed[name] += 1
                return
        self.failures.append(("verdict", document, our_error or "accepted", their_error or "accepted"))

    def run(self, documents):
        answers = subprocess.run([self.driver], input="\n".join(documents).encode("utf-8", "surrogatepass"),
                                 stdout=subprocess.PIPE, check=True).stdout.decode("utf-8").split("\n")
        assert len(answers) == len(documents) + 1, "a line for each document"
        for document, answer in zip(documents, answers):
            self.compare(document, answer)


def without_minus_zero(text):
    return re.sub(r"-0\.0(?=[,\s])", "0.0", text)


def matches(pattern, error):
    return error is None if pattern is None else error is not None and re.search(pattern, error) is not None


INTEGERS = ["int32Field", "int64Field", "uint32Field", "uint64Field", "sint32_field", "sint64Field", "fixed32Field",
            "fixed64_field", "sfixed32Field", "sfixed64Field"]
WRAPPERS = ["boolWrapper", "int32Wrapper", "int64Wrapper", "uint32Wrapper", "uint64Wrapper", "floatWrapper",
            "doubleWrapper", "stringWrapper", "bytesWrapper"]
OTHERS = ["floatField", "doubleField", "boolField", "stringField", "bytesField", "color", "nested", "timestamp",
          "duration", "structField", "valueField", "listValue", "fieldMask", "anyField", "empty", "nullValue",
          "choiceInt32", "choiceString", "choiceNested", "choiceBytes", "choiceNull", "choiceValue"]
LISTS = ["repeatedInt32", "repeated_int64", "repeatedDouble", "repeatedBool", "repeatedString", "repeatedBytes",
         "repeatedColor", "repeatedNested", "repeatedFloat", "repeatedUint64", "repeatedTimestamp", "repeatedValue",
         "repeatedAny", "repeatedNull", "repeatedDuration", "repeatedWrapper"]
MAPS = ["stringMap", "int32Map", "int64_map", "boolMap", "uint64Map", "valueMap", "timestampMap"]

VALUES = [
    "null", "true", "false", "0", "-0", "1", "-1", "1.0", "1.5", "-0.0", "1e2", "1E+2", "10e-1", "2147483647",
    "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296", "9223372036854775807",
    "-9223372036854775808", "18446744073709551615", "18446744073709551616", "1e400", "3.4e38", "3.5e38", "1e-400",
    "01", "+1", "1.", ".5", "NaN", "Infinity", "--1", "0x1",
    '""', '"0"', '"1"', '"-1"', '"1.0"', '"1.5"', '"1e2"', '" 1"', '"1 "', '"NaN"', '"Infinity"', '"-Infinity"',
    '"nan"', '"-0"', '"9223372036854775807"', '"18446744073709551615"', '"18446744073709551616"', '"abc"', '"AA=="',
    '"AA"', '"-_8"', '"+/8="', '"A"', '"COLOR_RED"', '"COLOR_BLUE"', '"color_red"', '"\\u00e9"', '"\\ud83d\\ude00"',
    '"\\ud800"', '"\\u0000"', '"\\u001f"', '"a\\tb"', '"fooBar,baz"', '"foo_bar"', '"true"',
    '"2026-01-31T12:00:00Z"', '"2026-01-31T12:00:00.5+05:30"', '"0001-01-01T00:00:00Z"', '"0000-12-31T00:00:00Z"',
    '"9999-12-31T23:59:59.999999999Z"', '"10000-01-01T00:00:00Z"', '"2026-02-29T12:00:00Z"', '"2026-01-31t12:00:00Z"',
    '"2026-01-31T12:00:60Z"', '"1s"', '"-1.5s"', '"0.000000001s"', '"315576000000s"', '"315576000001s"', '"1"', '"s"',
    "{}", "[]", "[null]", "[1]", '["1"]', "[[]]", "[{}]", '{"a":1}', '{"a":"b"}', '{"a":null}', '{"1":1}', '{"1":{}}',
    '{"true":1}', '{"True":1}', '{"number":1}', '{"child":{"number":2}}', '{"number":1,"number":2}', '{"a":{"b":[1,null]}}',
    '{"@type":"type.googleapis.com/json.test.v1.Nested","number":3}', '{"@type":"type.googleapis.com/no.Such"}',
    '{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}', '{"1":"COLOR_RED"}',
    '{"a":"2026-01-31T12:00:00Z"}', '["2026-01-31T12:00:00Z"]', '["COLOR_RED",1]', '["AA==","-_8"]', "[true,false]",
    '["1s"]', '[{"@type":"type.googleapis.com/json.test.v1.Nested"}]', "[0.1,1e30]", '["a","b"]', "[1,", '{"a"}', "",
]

WHOLE = [
    "", "{", "}", "[]", "null", "1", '"a"', "{}", " {} ", "{} {}", "{},", '{"nope":1}', '{"int32Field":1,}', "{'a':1}",
    '{"int32Field":1,"int32Field":2}', '{"int32Field":1,"int32_field":2}', '{"choiceInt32":1,"choiceString":"a"}',
    '{"choiceInt32":null,"choiceString":"a"}', '{"choiceString":"a","choiceInt32":null}', '{"@other":"a"}',
    '{"renamed":"a"}', '{"with1Digit":"a"}', '{"with_1_digit":"a"}', '{"Leading":"a"}', '{"_leading":"a"}',
    '{"int32Map":{"1":1,"01":2}}', '{"int32Map":{"1":1,"1":2}}', '{"int32Field": 1 , "boolField" : true }',
    '{"stringField":"\t"}', '{"stringField":"\x7f"}', "\ufeff{}", '{"intField":1}', '{"int32field":1}',
    '{"floatField":3.4028235e38}', '{"fieldMask":"a,,b"}', '{"anyField":{"@type":"json.test.v1.Nested"}}',
    '{"anyField":{"@type":"x/google.protobuf.Duration","value":"1s","a":1}}', '{"structField":{"a":1,"a":2}}', '{"nested":{"nested":{}}}', '// comment', '{/**/}', '{"int32Field":1e0}',
]


def corpus():
    documents = list(WHOLE)
    for name in INTEGERS + WRAPPERS + OTHERS + LISTS + MAPS:
        documents += ['{"%s":%s}' % (name, value) for value in VALUES]
    return documents


class Generator:
    """Random documents: mostly right, now and then with a value that belongs elsewhere."""

    def __init__(self):
        self.random = random.Random(SEED)

    def integer(self):
        bits = self.random.choice([4, 8, 16, 31, 32, 53, 63, 64])
        value = self.random.randrange(2 ** bits) * self.random.choice([1, 1, -1])
        return self.random.choice([str(value), '"%d"' % value, "%d.0" % (value % 2 ** 50), "%de0" % (value % 2 ** 50)])

    def double(self):
        kind = self.random.randrange(5)
        if kind == 0:
            return repr(self.random.uniform(-180, 180))
        if kind == 1:
            return repr(self.random.random() * 10.0 ** self.random.randrange(-320, 308))
        if kind == 2:
            return self.random.choice(['"NaN"', '"Infinity"', '"-Infinity"', "-0", "-0.0", "5e-324"])
        if kind == 3:
            return '"%r"' % self.random.gauss(0, 1e6)
        return self.integer()

    def text(self):
        alphabet = "ab \"\\/\b\n\x01\x7fé߿ࠀ€\ud7ff\ue000\uffff\U00010000😀\U0010ffff0.-[{"
        value = "".join(self.random.choice(alphabet) for _ in range(self.random.randrange(8)))
        return json.dumps(value, ensure_ascii=self.random.random() < 0.5)

    def base64(self):
        alphabet = "ABZabz019+/-_"
        length = self.random.randrange(12)
        value = "".join(self.random.choice(alphabet) for _ in range(length))
        return '"%s%s"' % (value, "=" * self.random.choice([0, -length % 4]))

    def time(self):
        fraction = self.random.choice(["", ".5", ".123", ".000001", ".123456789", ".9"])
        offset = self.random.choice(["Z", "Z", "+00:00", "-08:00", "+05:30", "+23:59"])
        return '"%04d-%02d-%02dT%02d:%02d:%02d%s%s"' % (
            self.random.choice([1, 1969, 1970, 2000, 2024, 2026, 2100, 9999]), self.random.randrange(1, 13),
            self.random.randrange(1, 32), self.random.randrange(24), self.random.randrange(60), self.random.randrange(60),
            fraction, offset)

    def duration(self):
        return '"%s%d%ss"' % (self.random.choice(["", "-"]), self.random.choice([0, 1, 59, 10 ** 6, 315576000000]),
                              self.random.choice(["", ".5", ".001", ".000000001", ".100200300"]))

    def value(self, depth=0):
        kind = self.random.randrange(6 if depth < 3 else 4)
        if kind == 4:
            return "[%s]" % ",".join(self.value(depth + 1) for _ in range(self.random.randrange(4)))
        if kind == 5:
            return self.struct(depth + 1)
        return [self.double().strip('"').replace("NaN", "0").replace("-Infinity", "1").replace("Infinity", "2"),
                self.text(), self.random.choice(["true", "false"]), "null"][kind]

    def struct(self, depth=0):
        keys = self.random.sample(["a", "b", "é", "", "x y", "1", "@type"], self.random.randrange(4))
        return "{%s}" % ",".join("%s:%s" % (json.dumps(key), self.value(depth + 1)) for key in keys)

    def nested(self, depth=0):
        members = ['"number":%d' % self.random.randrange(-9, 9)]
        if depth < 4 and self.random.random() < 0.5:
            members.append('"child":%s' % self.nested(depth + 1))
        if depth < 3 and self.random.random() < 0.3:
            members.append('"children":[%s]' % ",".join(self.nested(depth + 2) for _ in range(2)))
        self.random.shuffle(members)
        return "{%s}" % ",".join(members)

    def any(self):
        return self.random.choice([
            lambda: '{"@type":"type.googleapis.com/json.test.v1.Nested",%s' % self.nested()[1:],
            lambda: '{"value":%s,"@type":"x/google.protobuf.Timestamp"}' % self.time(),
            lambda: '{"@type":"x/google.protobuf.Struct","value":%s}' % self.struct(),
            lambda: '{"@type":"x/google.protobuf.Any","value":%s}' % '{"@type":"x/google.protobuf.Int32Value","value":7}',
        ])()

    def mask(self):
        paths = [self.random.choice(["a", "fooBar", "a.bC", "x1Y"]) for _ in range(self.random.randrange(4))]
        return '"%s"' % ",".join(paths)

    def color(self):
        return self.random.choice(['"COLOR_RED"', '"COLOR_BLUE"', '"COLOR_UNSPECIFIED"', "1", "-2", "77"])

    def boolean(self):
        return self.random.choice(["true", "false"])

    def list_of(self, one):
        return lambda: "[%s]" % ",".join(one() for _ in range(self.random.randrange(4)))

    def map_of(self, keys, one):
        return lambda: "{%s}" % ",".join('"%s":%s' % (key, one())
                                         for key in self.random.sample(keys, self.random.randrange(len(keys))))

    def fields(self):
        numbers = ["0", "1", "-7", "2147483647"]
        makers = {name: self.integer for name in INTEGERS + ["int32Wrapper", "int64Wrapper", "uint64_wrapper"]}
        makers.update({
            "floatField": self.double, "doubleField": self.double, "doubleWrapper": self.double, "bool_field": self.boolean,
            "stringField": self.text, "stringWrapper": self.text, "bytesField": self.base64, "bytesWrapper": self.base64,
            "color": self.color, "nested": self.nested, "timestamp": self.time, "duration": self.duration,
            "structField": self.struct, "valueField": self.value, "fieldMask": self.mask, "anyField": self.any,
            "choiceInt32": self.integer, "choice_string": self.text, "choiceValue": self.value, "choiceDouble": self.double,
            "repeatedInt32": self.list_of(self.integer), "repeatedUint64": self.list_of(self.integer),
            "repeatedDouble": self.list_of(self.double), "repeatedFloat": self.list_of(self.double),
            "repeatedString": self.list_of(self.text), "repeated_bytes": self.list_of(self.base64),
            "repeatedColor": self.list_of(self.color), "repeatedNested": self.list_of(self.nested),
            "repeatedTimestamp": self.list_of(self.time), "repeatedValue": self.list_of(self.value),
            "repeatedAny": self.list_of(self.any), "repeatedDuration": self.list_of(self.duration),
            "listValue": self.list_of(self.value), "stringMap": self.map_of(["a", "é", ""], self.text),
            "int32Map": self.map_of(numbers, self.integer), "int64Map": self.map_of(numbers, self.nested),
            "boolMap": self.map_of(["true", "false"], self.double), "uint64Map": self.map_of(["0", "9"], self.color),
            "valueMap": self.map_of(["a", "b"], self.value), "timestampMap": self.map_of(["a", "b"], self.time),
        })
        return makers

    def documents(self, n):
        makers = self.fields()
        names = list(makers)
        for _ in range(n):
            members = []
            for name in self.random.sample(names, self.random.choice([1, 1, 2, 3, 4])):
                maker = makers[self.random.choice(names)] if self.random.random() < 0.05 else makers[name]
                members.append('"%s":%s' % (name, "null" if self.random.random() < 0.02 else maker()))
            yield "{%s}" % self.random.choice([",", ", ", " ,"]).join(members)


def main():
    oracle = Oracle(*sys.argv[1:])
    hand_made = corpus()
    oracle.run(hand_made)
    oracle.run(list(Generator().documents(GENERATED)))
    print("documents: %d by hand, %d generated with seed %d" % (len(hand_made), GENERATED, SEED))
    print("agreement: %(accepted)d accepted as the same message, %(refused)d refused" % oracle.agreed)
    for name, why, *_ in KNOWN_DIFFERENCES + [MINUS_ZERO]:
        print("known difference: %d × %s: %s" % (oracle.differed[name], name, why))
    print("the same but for the order of a map inside an Any: %d" % oracle.reordered)
    print("disagreement: %d" % len(oracle.failures))
    for failure in oracle.failures[:40]:
        print("    %s: %s\n        ours: %s\n        Python: %s" % failure)
    needless = [name for name, count in oracle.differed.items() if count == 0]
    print("known differences that no document shows: %s" % (", ".join(needless) or "none"))
    return 1 if oracle.failures or needless else 0


if __name__ == "__main__":
    sys.exit(main())
