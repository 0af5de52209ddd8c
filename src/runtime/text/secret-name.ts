// What a secret may be called, wherever its name is written: in a reference, a request, a command.

/** The source of a regular expression for the whole name. */
export const SECRET_NAME_FORM = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}";

export const SECRET_NAME = {
  form: new RegExp(`^${SECRET_NAME_FORM}$`),
  expected: "1 to 64 letters, digits, `.`, `_` and `-`, the first of them a letter or a digit",
};
