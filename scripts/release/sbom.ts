// What a release is made of, as CycloneDX: npm's packages inside the programs, Node, koffi, and the Go modules in mountaineer-fs.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { compile } from "../build/compile.ts";
import { PLATFORMS } from "../bundle/platform-packages.ts";

interface Ingredients {
  readonly root: string;
  readonly version: string;
  readonly epochSeconds: number;
  /** The licences of mountaineer-fs, whose headings name its modules (`scripts/mount/build.ts`); empty: without it. */
  readonly goLicences: string;
}

/** An entry of npm's lock file. */
interface Locked {
  readonly version: string;
  readonly integrity?: string;
  readonly license?: string;
}

/** The same sources give the same text. */
export async function sbom({ root, version, epochSeconds, goLicences }: Ingredients): Promise<string> {
  const { bundledPackages, outsidePackages } = await compile(root);
  const lock = JSON.parse(await readFile(path.join(root, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, Locked>>;
  };
  const names = [
    ...bundledPackages,
    ...outsidePackages,
    ...PLATFORMS.flatMap((platform) => [platform.koffi, platform.node]),
  ];
  const ofNpm = names.map((name) => {
    const locked = lock.packages[`node_modules/${name}`];
    if (locked === undefined) throw new Error(`package-lock.json has no ${name}`);
    return npmComponent(name, locked);
  });
  const modules = new Set(
    [...goLicences.matchAll(/^==== (\S+) (\S+): /gm)].map(([, name, at]) => `${name} ${at}`),
  );
  const bom = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      timestamp: new Date(epochSeconds * 1000).toISOString(),
      component: {
        type: "application",
        "bom-ref": "mountaineerd",
        name: "mountaineerd",
        version,
        purl: `pkg:npm/mountaineerd@${version}`,
        licenses: [{ expression: "MIT" }],
      },
    },
    components: [...ofNpm, ...[...modules].map(goComponent)],
  };
  return `${JSON.stringify(bom, null, 2)}\n`;
}

function npmComponent(name: string, { version, integrity, license }: Locked) {
  const [scope, bare] = name.startsWith("@") ? name.split("/") : [undefined, name];
  const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
  const digest = /^sha512-(\S+)$/.exec(integrity ?? "")?.[1];
  return {
    type: "library",
    "bom-ref": purl,
    ...(scope === undefined ? {} : { group: scope }),
    name: bare ?? name,
    version,
    purl,
    ...(license === undefined ? {} : { licenses: [{ expression: license }] }),
    ...(digest === undefined
      ? {}
      : { hashes: [{ alg: "SHA-512", content: Buffer.from(digest, "base64").toString("hex") }] }),
  };
}

function goComponent(module: string) {
  const [name = "", version = ""] = module.split(" ");
  const purl = `pkg:golang/${name === "Go" ? "stdlib" : name}@${version}`;
  return { type: "library", "bom-ref": purl, name, version, purl };
}
