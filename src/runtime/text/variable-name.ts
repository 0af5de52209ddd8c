// What an environment variable may be called, wherever its name is written.

/** The source of a regular expression for the whole name. */
export const VARIABLE_NAME_FORM = "[A-Za-z_][A-Za-z0-9_]*";

const WHOLE_NAME = new RegExp(`^${VARIABLE_NAME_FORM}$`);

export function isVariableName(text: string): boolean {
  return WHOLE_NAME.test(text);
}
