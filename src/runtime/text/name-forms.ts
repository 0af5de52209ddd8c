// The valid names of environment variables and secrets.

/** The source of a regular expression for the whole name. */
export const VARIABLE_NAME_FORM = "[A-Za-z_][A-Za-z0-9_]*";

const WHOLE_NAME = new RegExp(`^${VARIABLE_NAME_FORM}$`);

export function isVariableName(text: string): boolean {
  return WHOLE_NAME.test(text);
}

/** The source of a regular expression for the whole name. */
export const SECRET_NAME_FORM = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}";

export const SECRET_NAME = {
  form: new RegExp(`^${SECRET_NAME_FORM}$`),
  expected: "1 to 64 letters, digits, `.`, `_` and `-`, the first of them a letter or a digit",
};
