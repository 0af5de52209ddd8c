// The keys of `[[aliases]]`.
import * as z from "zod";
import {
  parseAliasName,
  parseShareName,
  parseSubpath,
  SHARE_NAME_EXPECTED,
  SUBPATH_EXPECTED,
} from "../names.ts";
import { document, pathKey, readText, textDoc } from "./schema-keys.ts";

export const aliasSchema = z.strictObject({
  name: document(
    readText(parseAliasName),
    textDoc({
      expected: SHARE_NAME_EXPECTED,
      meaning: "What the alias is called here.",
      example: '"projects"',
    }),
  ),
  share: document(
    readText(parseShareName),
    textDoc({
      expected: "the name of a share of this file",
      meaning: "The share that holds the folder, by its `name`.",
      example: '"CORE"',
    }),
  ),
  target_subpath: document(
    readText(parseSubpath),
    textDoc({
      type: "path inside the share",
      expected: SUBPATH_EXPECTED,
      meaning: "The folder, from the top of the share; it need not be there yet.",
      example: '"Projects/2026"',
    }),
  ),
  path: pathKey({
    absent: "`<shares_root>/Links/<name>`",
    meaning: "Where the link is made.",
    example: '"~/Desktop/projects"',
  }),
});
