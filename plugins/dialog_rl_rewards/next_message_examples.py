"""Labelled customer messages that the classifier of `next_message` learns from, English and Chinese, one a line."""

from __future__ import annotations

EXAMPLES: dict[str, str] = {
    "thanks": """
thanks, that was quick
thank you so much
great, that works for me
perfect
wonderful, thanks for your help
that is all I needed, thank you
you have been very helpful
awesome, much appreciated
brilliant, cheers
oh good, that solves it
excellent service
I appreciate it
lovely, thanks a lot
nice, I am happy with that
super, have a great day
谢谢你的帮助
太好了，非常感谢
好的，谢谢
完美，解决了
服务真好
谢谢，没有别的问题了
多谢，辛苦了
太棒了
非常满意
""",
    "complaint": """
this is ridiculous
I am very unhappy with this
that is not acceptable
your service is terrible
I have been waiting for weeks
this makes no sense at all
I am really annoyed
this is the worst shop ever
why is this so complicated
you are not helping me
how can it take this long
that does not help at all
what a waste of time
I am disappointed
this is unbelievable, nobody can help
I want to speak to a manager
太过分了
你们的服务太差了
我很不满意
这也太慢了吧
怎么这么麻烦
根本没有用
我要投诉
真让人生气
等了这么久还没解决
""",
    "repetition": """
I already told you my order number
as I said, it is 4471
I said that before
like I told you, my name is Anna
you asked me that already
again, the number is 8812
I just gave you that
once more, I want to cancel it
for the third time, it is the blue one
I have answered that question
didn't I just say that
how many times do I have to repeat it
我刚才说过了
我已经告诉你了
再说一遍，订单号是4471
你刚才问过了
我说了好几遍了
前面不是说了吗
都说过了，是蓝色的
""",
    "correction": """
no, that is the wrong order
that is not what I meant
I meant the other one
no, I said blue, not red
that's not right
not that one, the kettle
sorry, the number should be 4417
you misunderstood me
that is wrong, my name is Ben
actually it is 12 Oak Street
no no, I want to return it, not exchange it
that isn't my address
wrong one, please look again
不对，不是这个订单
我不是这个意思
你弄错了
错了，应该是4417
不是红色，是蓝色
你理解错了
我说的是另一个
地址不对
""",
    "giving_up": """
forget it
never mind, I'll do it myself
I give up
this is going nowhere, bye
I'll call somewhere else
ok whatever
leave it
I am done with this
just connect me to a human
I want to talk to a real person
I will take my business elsewhere
no point in this, goodbye
I don't have time for this any more
算了
不用了，我自己来
我放弃了
没法沟通，再见
转人工
我要找人工客服
以后不来了
跟你说不清楚，算了吧
""",
    "neutral": """
my order number is 4471
the name is Anna Keller
where is my parcel
yes
yes, please do that
no, that's all
ok
12 Oak Street
I would like to return something
it is blue
the zip code is 10115
can you tell me the price
how long does it take
I want to cancel my order
sure, go ahead
my phone is a Nova 5
also, I need an invoice
which charger fits
yes, that is correct
hello
what is the return period
it arrived damaged
the lid is missing
no
and my other order, 8812
订单号是4471
我叫王伟
我的快递到哪了
是的
可以
好
我要退货
蓝色的
邮编是100080
多少钱
要多久
请帮我取消订单
对，没错
手机是Nova 5
你好
退货期限是多久
收到的时候已经坏了
还要一张发票
没有了
""",
}
"""Label → messages. `neutral` is everything that says nothing about the reply before it."""
