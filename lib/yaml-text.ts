import { stringify, type Scalar, type ScalarTag } from "yaml";
import { stringifyString } from "yaml/util";

/**
 * What some reader of YAML takes for something else than text when it stands without quotation marks: 1.1 reads `no`, `0644`
 * and `12:30` otherwise than 1.2, and kubectl reads a mixture of both.
 */
const isDoubtful = (text: string): boolean =>
  /^(?:$|[-+.~<=\d])/.test(text) || /^(?:y|yes|n|no|on|off|true|false|null)$/i.test(text) || isOdd(text);

/** Ends of lines for some, marks that others leave out, and blanks that a block of lines would lose. */
const isOdd = (text: string): boolean => /[\u007f-\u009f\u2028\u2029\ufeff\r]|(?:^|\n)[ \t]+(?:\n|$)|^\s/.test(text);

const text: ScalarTag = {
  tag: "tag:yaml.org,2002:str",
  default: true,
  identify: (value) => typeof value === "string",
  resolve: (value) => value,
  stringify: (item, context, ...rest) => {
    const { value } = item as Scalar<string>;
    if (isOdd(value) || (isDoubtful(value) && !value.includes("\n"))) return quoted(value);
    return stringifyString(item, context, ...rest);
  },
};

/** As JSON has it, which every reader of YAML understands, on one line. */
const quoted = (value: string): string =>
  JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    (odd) => `\\u${odd.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

/** A document that kubectl, and any other reader of YAML, takes for exactly this value. */
export const yamlText = (value: unknown): string =>
  stringify(value, {
    customTags: (tags) => [text, ...tags.filter((tag) => !isText(tag))],
    aliasDuplicateObjects: false,
  });

const isText = (tag: unknown): boolean => (tag as { tag?: string }).tag === text.tag;
