// `npm run build`: compiles the programs into dist/<digest>, and makes it the build that bin/mountaineer runs.
// Usage: bin/with-node scripts/build.ts. Needs only the packages that `npm ci` installs.
import path from "node:path";
import { compile } from "./build/compile.ts";
import { placeBuild } from "./build/place-build.ts";
import { usedBuilds } from "./build/used-builds.ts";

const root = path.resolve(import.meta.dirname, "..");
const { files } = await compile(root);
await placeBuild({ root, files, usedBuilds: () => usedBuilds(path.join(root, "dist")) });
