// A text that identifies this home: the same at each start, and another one for each home.

/** Reads the metadata of the home folder. */
export function homeSeed(home: string): string {
  const { ino, birthtimeNs } = process.getBuiltinModule("node:fs").statSync(home, { bigint: true });
  return `${home} ${ino} ${birthtimeNs}`;
}
