// The plugin my-plugin. What it exports is in wit/world.wit; this file says how it is done.

export const tools = {
  splitBill({ total, people, tipPercent }) {
    // An error is read by the model: name the value and what to give instead.
    if (!(total >= 0 && total <= 1e9)) {
      throw `total is ${total}; give an amount of 0 to 1000000000`;
    }
    if (!(people >= 1 && people <= 1000)) {
      throw `people is ${people}; give a number of 1 to 1000`;
    }
    if (!(tipPercent >= 0 && tipPercent <= 100)) {
      throw `tip-percent is ${tipPercent}; give 0 to 100`;
    }
    // In cents, so that no fraction of one is lost.
    const bill = Math.round(total * 100);
    const tip = Math.round(total * tipPercent);
    const each = Math.ceil((bill + tip) / people);
    return { tip: tip / 100, total: (bill + tip) / 100, each: each / 100 };
  },
};
