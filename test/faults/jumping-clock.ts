/*
 * Loaded before a program (node --import): its clock, and nothing else of the machine's, jumps at each SIGUSR2 by the next of
 * TEST_CLOCK_JUMPS (milliseconds, between commas), as when somebody sets it or a virtual machine wakes up. Time that is measured
 * (performance.now, timers) goes on evenly, as it does then.
 */
const jumps = (process.env.TEST_CLOCK_JUMPS ?? '').split(',').map(Number);
const RealDate = Date;
let aheadMs = 0;

process.on('SIGUSR2', () => {
  aheadMs += jumps.shift() ?? 0;
  process.stdout.write(`clock ${new Date().toISOString()}\n`);
});

const now = () => RealDate.now() + aheadMs;

globalThis.Date = new Proxy(RealDate, {
  construct: (target, parameters, self) =>
    Reflect.construct(target, parameters.length === 0 ? [now()] : parameters, self),
  apply: () => new RealDate(now()).toString(),
  get: (target, name, self) => (name === 'now' ? now : Reflect.get(target, name, self)),
});
