// Reads a secret's name on the command line.
import { InvalidArgumentError } from "commander";

/** As references name them; the rule itself is with references, which no face knows. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export function parseSecretName(text: string): string {
  if (NAME.test(text)) return text;
  throw new InvalidArgumentError(
    "A name has 1 to 64 letters, digits, '.', '_' and '-', the first of them a letter or a digit.",
  );
}
