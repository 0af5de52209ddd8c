// Makes a mount's driver find and drop its dead connections when the carrier reports that it has some.
import type { Carriage } from "../drivers/carriage.ts";
import type { Subject } from "./share-subject.ts";

/** One run at a time for each share; a request meanwhile runs it once more, and the carrier hears of the end. */
export function createDropLost(
  carriage: Pick<Carriage, "of" | "usedUp">,
): (subject: Pick<Subject, "spec" | "driver">) => void {
  /** By share: whether it was requested again meanwhile. */
  const underWay = new Map<string, boolean>();

  const drop = async ({ spec, driver }: Pick<Subject, "spec" | "driver">): Promise<void> => {
    do {
      underWay.set(spec.name, false);
      await driver.dropLost?.(spec, carriage.of(spec.name)?.connections ?? 0);
    } while (underWay.get(spec.name) === true);
    underWay.delete(spec.name);
    await carriage.usedUp(spec.name);
  };
  return (subject) => {
    const { name } = subject.spec;
    if (underWay.has(name)) underWay.set(name, true);
    else void drop(subject);
  };
}
