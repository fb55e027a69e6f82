/** A module with `startOn`, whose server answers "slow" only when it is asked to stop. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ModelLoop } from "../../src/pool/models.ts";
import type { Stoppable } from "../../src/pool/module.ts";

export async function startOn(loop: ModelLoop<{ greeting: string }>): Promise<Stoppable> {
  const { greeting } = loop.data;
  let stop: () => void = () => {};
  const stopping = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const answers: Promise<void>[] = [];
  // Timers of the runtime work beside the reactor.
  await sleep(1);
  loop.listen({
    data(connection, bytes) {
      const said = Buffer.from(bytes).toString();
      const answer = async (): Promise<void> => {
        if (said === "slow") {
          loop.post({ said });
          await stopping;
        }
        await sleep(1);
        connection.write(`${greeting} ${said}`);
      };
      answers.push(answer());
    },
  });
  return {
    async stop() {
      stop();
      await Promise.all(answers);
      loop.post({ ended: true });
    },
  };
}
