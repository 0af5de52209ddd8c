// THIRD-PARTY-NOTICES.md: the licence of each package whose code is in the build.
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { jsonObject } from "../../src/runtime/text/json-object.ts";
import { compile } from "../build/compile.ts";
import type { DocumentGenerator } from "./generator.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const OPENING = `# Third-party notices

The published programs (\`dist\`) contain these packages, so that they start sooner, and so that what runs needs no
\`node_modules\`.
`;
const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.`;
/** Packages that say "MIT" and bring no text, with the copyright line of their repositories. */
const MIT_WITHOUT_TEXT: Readonly<Record<string, string>> = {
  "yoga-layout": "Copyright (c) Facebook, Inc. and its affiliates.",
};

export const thirdPartyNotices: DocumentGenerator = {
  path: "THIRD-PARTY-NOTICES.md",
  async generate() {
    const { bundledPackages } = await compile(ROOT);
    const sections = await Promise.all(
      bundledPackages.map(async (name) => `## ${name}\n\n\`\`\`text\n${await licenceOf(name)}\n\`\`\`\n`),
    );
    return [OPENING, ...sections].join("\n");
  },
};

/** Throws for a package without a licence that is known here. */
async function licenceOf(name: string): Promise<string> {
  const folder = path.join(ROOT, "node_modules", name);
  const file = (await readdir(folder)).find((entry) => /^LICEN[CS]E(\.md|\.txt)?$/i.test(entry));
  if (file !== undefined)
    return (await readFile(path.join(folder, file), "utf8")).replaceAll("\r", "").replace(/^\n+|\s+$/g, "");
  const holder = MIT_WITHOUT_TEXT[name];
  const licence = jsonObject(await readFile(path.join(folder, "package.json"), "utf8"))?.["license"];
  if (holder === undefined || licence !== "MIT")
    throw new Error(
      `${name} brings no text of its licence (${String(licence)}); write it into ${import.meta.filename}`,
    );
  return `MIT License\n\n${holder}\n\n${MIT}`;
}
