"""The plugin my-plugin. What it exports is in wit/world.wit; this file says how it is done."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.tools import Bill, Shares


class Tools(exports.Tools):
    def split_bill(self, bill: Bill) -> Shares:
        # An error is read by the model: name the value and what to give instead.
        if not 0 <= bill.total <= 1e9:
            raise Err(f"total is {bill.total}; give an amount of 0 to 1000000000")
        if not 1 <= bill.people <= 1000:
            raise Err(f"people is {bill.people}; give a number of 1 to 1000")
        if not 0 <= bill.tip_percent <= 100:
            raise Err(f"tip-percent is {bill.tip_percent}; give 0 to 100")
        # In cents, so that no fraction of one is lost.
        cents = round(bill.total * 100)
        tip = round(bill.total * bill.tip_percent)
        each = -(-(cents + tip) // bill.people)
        return Shares(tip=tip / 100, total=(cents + tip) / 100, each=each / 100)
