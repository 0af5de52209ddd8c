// How the files, folders and symbolic links of a share appear.
import { textReader } from "./names.ts";

/** "inside": those whose target lies in the share. */
export type SymlinksShown = "inside" | boolean;

export const MODE_EXPECTED = 'three octal digits in quotes, with or without a 0 before them, such as "0755"';

export const parseMode = textReader((text) => /^0?[0-7]{3}$/.test(text), MODE_EXPECTED);
