// The keys of `[[aliases]]`.
import {
  parseAliasName,
  parseShareName,
  parseSubpath,
  SHARE_NAME_EXPECTED,
  SUBPATH_EXPECTED,
} from "../values/names.ts";
import { optional, required } from "./schema-keys.ts";
import { path, text } from "./value-types.ts";

export const aliasKeys = {
  name: required("free", text("plain", parseAliasName), {
    expected: SHARE_NAME_EXPECTED,
    meaning: "What the alias is called here.",
    example: '"projects"',
  }),
  share: required("guards", text("plain", parseShareName), {
    expected: "the name of a share of this file",
    meaning: "The share that holds the folder, by its `name`.",
    example: '"CORE"',
  }),
  target_subpath: required("guards", text("plain", parseSubpath), {
    type: "path inside the share",
    expected: SUBPATH_EXPECTED,
    meaning: "The folder, from the top of the share; it need not be there yet.",
    example: '"Projects/2026"',
  }),
  path: optional("guards", path, {
    absent: "`<shares_root>/Links/<name>`",
    meaning: "Where the link is made.",
    example: '"~/Desktop/projects"',
  }),
};
